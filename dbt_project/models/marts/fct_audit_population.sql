{{ recomputed_by_decided_day(on_schema_change='fail') }}

with

units as (

    select * from {{ ref('int_decision_tallies') }}

    where is_unit and {{ in_decided_days('decision_date') }}

),

summed as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        stratum,
        cast(sum(decisions) as bigint) as population,
        cast(sum(reach) as bigint) as reach

    from units

    group by strategy_id, version, channel, environment, decision_date, stratum

)

select * from summed
