-- depends_on: {{ ref('stg_build_days') }}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    pre_hook="{{ forget_decision_days() }}"
) }}

with

decisions as (

    select * from {{ ref('int_decisions') }}

),

counted as (

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
