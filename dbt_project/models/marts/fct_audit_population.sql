with

frame as (

    select * from {{ ref('int_audit_frame') }}

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
