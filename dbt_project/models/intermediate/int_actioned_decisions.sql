{{ recomputed_by_decided_day() }}

with

actioned as (

    select * from {{ ref('stg_actioned_decisions') }}

    where {{ in_decided_days('decision_date') }}

),

contested as (

    select * from {{ ref('int_contested_decisions') }}

),

standing as (

    -- A decision spoken of by several deliveries fired if the latest of them says so.
    select
        actioned.decision_id,
        actioned.channel,
        actioned.decision_date,
        actioned.strategy_id,
        actioned.version,
        actioned.environment,
        actioned.action

    from actioned
    left join contested
        on
            actioned.channel = contested.channel
            and actioned.decision_id = contested.decision_id

    where contested.decision_id is null or contested.delivery_date = actioned.delivery_date

)

select * from standing
