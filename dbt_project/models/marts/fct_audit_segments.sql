{{ recomputed_by_month(on_schema_change='fail') }}

with

segment_units as (

    select * from {{ ref('int_segment_units') }}

    where {{ in_decision_months('decision_month') }}

),

units as (

    select
        *,
        cast(date_trunc('month', decision_date) as date) as decision_month

    from {{ ref('int_sampled_units') }}

),

verdicts as (

    select * from {{ ref('int_labels_adjudicated') }}

),

labelled as (

    select
        units.strategy_id,
        units.channel,
        units.environment,
        units.category,
        units.market,
        units.decision_month,
        units.stratum,
        count(*) as labelled,
        count(*) filter (where verdicts.verdict = 'should_fire') as should_fire

    from units
    inner join verdicts
        on units.channel = verdicts.channel and units.decision_id = verdicts.decision_id

    where
        verdicts.verdict <> 'unsure'
        and {{ in_decision_months('units.decision_month') }}

    group by
        units.strategy_id, units.channel, units.environment, units.category, units.market,
        units.decision_month, units.stratum

),

both_counts as (

    -- Stacked, not joined: a segment may have no category or market.
    select
        strategy_id, channel, environment, category, market, decision_month, stratum,
        population, 0 as labelled, 0 as should_fire

    from segment_units

    union all

    select
        strategy_id, channel, environment, category, market, decision_month, stratum,
        0 as population, labelled, should_fire

    from labelled

),

segments as (

    select
        strategy_id,
        channel,
        environment,
        category,
        market,
        decision_month,
        stratum,
        cast(sum(population) as bigint) as population,
        cast(sum(labelled) as bigint) as labelled,
        cast(sum(should_fire) as bigint) as should_fire

    from both_counts

    group by strategy_id, channel, environment, category, market, decision_month, stratum

    -- A stratum of nothing but repeated decisions has no unit.
    having sum(population) + sum(labelled) > 0

)

select * from segments
