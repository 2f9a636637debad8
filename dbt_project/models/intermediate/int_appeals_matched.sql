{{ recomputed_by_day() }}

with

appeals as (

    select * from {{ ref('stg_appeals') }}

),

actioned as (

    select * from {{ ref('int_actioned_decisions') }}

    where {{ in_decision_days('decision_date') }}

),

matched as (

    select
        appeals.appeal_id,
        appeals.decision_id,
        appeals.channel,
        appeals.outcome,
        appeals.submitted_at,
        appeals.decided_at,
        actioned.strategy_id,
        actioned.version,
        actioned.environment,
        actioned.decision_date

    from appeals
    inner join actioned
        on appeals.channel = actioned.channel and appeals.decision_id = actioned.decision_id

)

select * from matched
