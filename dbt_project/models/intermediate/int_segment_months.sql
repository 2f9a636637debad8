{{ recomputed_by_month() }}

with

tallies as (

    select
        *,
        cast(date_trunc('month', decision_date) as date) as decision_month

    from {{ ref('int_segment_tallies') }}

),

summed as (

    select
        strategy_id,
        channel,
        environment,
        category,
        market,
        decision_month,
        stratum,
        cast(sum(population) as bigint) as population

    from tallies

    where {{ in_decision_months('decision_month') }}

    group by strategy_id, channel, environment, category, market, decision_month, stratum

)

select * from summed
