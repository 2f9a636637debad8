{{ config(materialized='view') }}

with

decisions as (

    select * from {{ ref('stg_decisions') }}

    where {{ in_decision_days('decision_date') }}

),

uncontested as (

    -- Almost every day is spoken of by one delivery: its rows stream through.
    select *

    from decisions

    where not ({{ is_contested('channel', 'decision_date') }})

),

ranked as (

    select
        *,
        row_number() over (
            partition by channel, decision_id order by delivery_date desc
        ) as recency

    from decisions

    where {{ is_contested('channel', 'decision_date') }}

),

latest as (

    select
        *,
        row_number() over (
            partition by
                strategy_id, version, channel, environment, item_id, decision_date
            order by is_fired desc, decided_at asc, decision_id asc
        ) = 1 as is_latest_unit

    from ranked

    where recency = 1

),

united as (

    select
        decision_id, decision_date, strategy_id, version, channel, environment, category, market,
        is_fired, action, stratum, score_bin, fine_bin, reach, gmv, audit_probability, is_unit,
        is_sampled and is_unit as is_drawn

    from uncontested

    union all

    select
        decision_id, decision_date, strategy_id, version, channel, environment, category, market,
        is_fired, action, stratum, score_bin, fine_bin, reach, gmv, audit_probability,
        is_latest_unit as is_unit,
        is_sampled and is_latest_unit as is_drawn

    from latest

)

select * from united
