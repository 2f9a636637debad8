{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook="{{ forget_decided_days() }}"
) }}

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
