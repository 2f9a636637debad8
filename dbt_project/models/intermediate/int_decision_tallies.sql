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
        coalesce(sum(reach), 0) as reach,
        coalesce(sum(cast(gmv as decimal(18, 4))), 0) as gmv,
        count(*) filter (where is_drawn) as drawn,
        count(audit_probability) as drawable,
        coalesce(sum(cast(audit_probability as decimal(18, 12))), 0) as sum_probability,
        min(audit_probability) as min_probability

    from decisions

    group by
        strategy_id, version, channel, environment, decision_date, is_fired, stratum, fine_bin,
        action, is_unit

),

tallied as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        is_fired,
        stratum,
        fine_bin,
        cast(sum(decisions) as bigint) as decisions,
        cast(coalesce(sum(decisions) filter (where action = 'boost'), 0) as bigint) as boosted,
        cast(coalesce(sum(decisions) filter (where action = 'demote'), 0) as bigint) as demoted,
        cast(coalesce(sum(decisions) filter (where action = 'limit'), 0) as bigint) as limited,
        cast(coalesce(sum(decisions) filter (where action = 'label'), 0) as bigint)
            as labelled_as_such,
        cast(coalesce(sum(decisions) filter (where action = 'age_gate'), 0) as bigint) as age_gated,
        cast(coalesce(sum(decisions) filter (where action = 'filter'), 0) as bigint) as filtered,
        cast(coalesce(sum(decisions) filter (where action = 'block'), 0) as bigint) as blocked,
        cast(sum(reach) as bigint) as reach,
        cast(sum(gmv) as double) as gmv,
        cast(coalesce(sum(decisions) filter (where is_unit), 0) as bigint) as population,
        cast(coalesce(sum(reach) filter (where is_unit), 0) as bigint) as population_reach,
        cast(coalesce(sum(gmv) filter (where is_unit), 0) as double) as population_gmv,
        cast(sum(drawn) as bigint) as drawn,
        cast(coalesce(sum(drawable) filter (where is_unit), 0) as bigint) as drawable,
        cast(coalesce(sum(sum_probability) filter (where is_unit), 0) as double)
            as sum_probability,
        min(min_probability) filter (where is_unit) as min_probability

    from counted

    group by
        strategy_id, version, channel, environment, decision_date, is_fired, stratum, fine_bin

)

select * from tallied
