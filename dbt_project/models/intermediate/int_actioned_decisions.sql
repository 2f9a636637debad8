{{ recomputed_by_day() }}

with

actioned as (

    select * from {{ ref('stg_actioned_decisions') }}

    where {{ in_decision_days('decision_date') }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by channel, decision_id order by delivery_date desc
        ) as recency

    from actioned

),

latest as (

    select
        decision_id, channel, decision_date, strategy_id, version, environment, action

    from ranked

    where recency = 1

)

select * from latest
