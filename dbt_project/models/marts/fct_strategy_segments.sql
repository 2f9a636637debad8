-- depends_on: {{ ref('stg_decided_days') }}
{{ recomputed_by_decided_day(on_schema_change='append_new_columns') }}
{{ config(post_hook='{{ count_later_blocks() }}') }}

with

decisions as (

    select * from {{ ref('int_decisions') }}

    {{ where_decided_by_blocks() }}

),

counted as (

    -- A pass of its own: with the strata beside it there would be several times the cells.
    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        category,
        market,
        count(*) as decisions,
        count(*) filter (where is_fired) as fired,
        cast(coalesce(sum(reach), 0) as bigint) as reach

    from decisions

    group by strategy_id, version, channel, environment, decision_date, category, market

)

select * from counted
