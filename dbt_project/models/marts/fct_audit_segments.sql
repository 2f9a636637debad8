{{ config(materialized='view') }}

with

units as (

    select * from {{ ref('int_segment_units') }}

),

draws as (

    select
        *,
        cast(date_trunc('month', decision_date) as date) as decision_month

    from {{ ref('int_audit_draws') }}

),

labelled as (

    select
        strategy_id,
        channel,
        environment,
        category,
        market,
        decision_month,
        stratum,
        count(*) as labelled,
        count(*) filter (where verdict = 'should_fire') as should_fire

    from draws

    where verdict <> 'unsure'

    group by strategy_id, channel, environment, category, market, decision_month, stratum

),

segments as (

    -- A view: labels come for months after their decisions, whose units stay as they are.
    select
        units.strategy_id,
        units.channel,
        units.environment,
        units.category,
        units.market,
        units.decision_month,
        units.stratum,
        units.population,
        coalesce(labelled.labelled, 0) as labelled,
        coalesce(labelled.should_fire, 0) as should_fire

    from units
    left join labelled
        on
            units.strategy_id = labelled.strategy_id
            and units.channel = labelled.channel
            and units.environment = labelled.environment
            -- A segment may have no category or market.
            and units.category is not distinct from labelled.category
            and units.market is not distinct from labelled.market
            and units.decision_month = labelled.decision_month
            and units.stratum = labelled.stratum

)

select * from segments
