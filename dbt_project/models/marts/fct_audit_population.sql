{{ recomputed_by_decided_day(on_schema_change='fail') }}

with

frame as (

    select * from {{ ref('int_audit_frame') }}

    where {{ in_decided_days('decision_date') }}

),

summed as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        stratum,
        cast(sum(population) as bigint) as population,
        cast(sum(reach) as bigint) as reach

    from frame

    group by strategy_id, version, channel, environment, decision_date, stratum

)

select * from summed
