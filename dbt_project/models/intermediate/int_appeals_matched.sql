{{ recomputed_by_day() }}

with

appeals as (

    select * from {{ ref('stg_appeals') }}

),

actioned as (

    select * from {{ ref('stg_actioned_decisions') }}

    where {{ in_decision_days('decision_date') }}

),

contested as (

    select
        channel,
        decision_id,
        decision_date,
        max(delivery_date) as last_delivered

    from {{ ref('stg_contested_decisions') }}

    where {{ in_decision_days('decision_date') }}

    group by channel, decision_id, decision_date

),

matched as (

    -- Joined where they lie: only decisions that were appealed are compared or written. An id
    -- that was used again is two decisions, and both are appealed, unless one was made later.
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
        actioned.decision_date,
        row_number() over (
            partition by appeals.channel, appeals.appeal_id, actioned.decision_date
            order by actioned.delivery_date desc
        ) as recency

    from actioned
    inner join appeals
        on
            actioned.channel = appeals.channel
            and actioned.decision_id = appeals.decision_id
            and actioned.decision_date <= cast(appeals.submitted_at as date) + 1
    left join contested
        on
            actioned.channel = contested.channel
            and actioned.decision_id = contested.decision_id
            and actioned.decision_date = contested.decision_date

    -- What several deliveries speak of fired if the latest of them says so.
    where contested.decision_id is null or contested.last_delivered = actioned.delivery_date

),

latest as (

    select
        appeal_id,
        decision_id,
        channel,
        outcome,
        submitted_at,
        decided_at,
        strategy_id,
        version,
        environment,
        decision_date

    from matched

    where recency = 1

)

select * from latest
