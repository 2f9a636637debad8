{{ config(materialized='view') }}

with

decisions as (

    select * from {{ ref('stg_decisions') }}

),

contested as (

    select * from {{ ref('int_contested_decisions') }}

),

united as (

    -- Almost every day is spoken of by one delivery: its rows stream through.
    select
        decision_date, strategy_id, version, channel, environment, category, market, is_fired,
        action, stratum, score_bin, fine_bin, reach, gmv, audit_probability, is_unit,
        is_unit and is_sampled as is_drawn

    from decisions

    union all

    select
        decision_date, strategy_id, version, channel, environment, category, market, is_fired,
        action, stratum, score_bin, fine_bin, reach, gmv, audit_probability,
        is_latest_unit as is_unit,
        is_sampled and is_latest_unit as is_drawn

    from contested

)

select * from united
