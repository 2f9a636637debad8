-- depends_on: {{ ref('stg_decided_days') }}
{{ recomputed_by_decided_day() }}
{{ config(post_hook='{{ count_later_blocks() }}') }}

with

decisions as (

    select * from {{ ref('int_decisions') }}

    {{ where_decided_by_blocks() }}

),

counted as (

    -- The pass over decisions that everything but the segments is made from. Rows are counted
    -- once, by what they are; who is a unit and what was done is told apart among the counts.
    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        is_fired,
        stratum,
        fine_bin,
        action,
        is_unit,
        count(*) as decisions,
        cast(coalesce(sum(reach), 0) as bigint) as reach,
        cast(coalesce(sum(cast(gmv as decimal(18, 4))), 0) as double) as gmv,
        count(*) filter (where is_drawn) as drawn,
        count(audit_probability) as drawable,
        cast(coalesce(sum(cast(audit_probability as decimal(18, 12))), 0) as double)
            as sum_probability,
        min(audit_probability) as min_probability

    from decisions

    group by
        strategy_id, version, channel, environment, decision_date, is_fired, stratum, fine_bin,
        action, is_unit

)

select * from counted
