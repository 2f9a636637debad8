-- depends_on: {{ ref('stg_build_days') }}
{{ recomputed_by_day() }}

with

decisions as (

    select * from {{ ref('int_decisions') }}

),

tallied as (

    -- The one pass over decisions that everything by category and market is made from.
    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        category,
        market,
        is_fired,
        stratum,
        count(*) as decisions,
        cast(coalesce(sum(reach), 0) as bigint) as reach,
        count(*) filter (where is_unit) as population

    from decisions

    group by
        strategy_id, version, channel, environment, decision_date, category, market, is_fired,
        stratum

)

select * from tallied
