{{ config(materialized='view') }}

with

decisions as (

    select * from {{ ref('stg_contested_decisions') }}

    where {{ in_decided_months("cast(date_trunc('month', decision_date) as date)") }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by channel, decision_id, decision_date order by delivery_date desc
        ) as recency

    from decisions

),

latest as (

    -- A later delivery may have changed a decision or brought another one on the same item.
    select
        *,
        row_number() over (
            partition by
                strategy_id, version, channel, environment, item_id, decision_date
            order by is_fired desc, decided_at asc, decision_id asc
        ) = 1 as is_latest_unit

    from ranked

    where recency = 1

)

select * from latest
