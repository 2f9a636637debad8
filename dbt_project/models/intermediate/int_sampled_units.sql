{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_decision_days() }}"
) }}

with

draws as (

    select * from {{ ref('stg_sampled_decisions') }}

    where {{ in_decision_days('decision_date') }}

),

standing as (

    -- A later delivery may have changed a draw's decision or taken its place as the unit.
    select
        decision_id,
        channel

    from {{ ref('int_decisions') }}

    where is_drawn and {{ is_contested('channel', 'decision_date') }}

),

ranked as (

    select
        draws.*,
        row_number() over (
            partition by draws.channel, draws.decision_id order by draws.delivery_date desc
        ) as recency,
        standing.decision_id is not null
        or not ({{ is_contested('draws.channel', 'draws.decision_date') }}) as is_standing

    from draws
    left join standing
        on draws.channel = standing.channel and draws.decision_id = standing.decision_id

),

units as (

    select
        decision_id, channel, decision_date, strategy_id, version, environment, item_id, seller_id,
        category, market, policy, action, is_fired, score_bin, fine_bin, stratum,
        inclusion_probability, reach, gmv

    from ranked

    where recency = 1 and is_standing

)

select * from units
