{{ recomputed_by_decided_day() }}

with

recent_days as (

    -- Conflicts are those of 28 days: what met before them is never asked for.
    select days.day

    from {{ ref('stg_decided_days') }} as days
    cross join (select max(day) as newest from {{ ref('stg_decided_days') }}) as last_day

    where {{ days_between('days.day', 'last_day.newest') }} < 28

),

actioned as (

    select * from {{ ref('stg_actioned_decisions') }}

    where
        decision_date in (select day from recent_days)
        and environment = 'live'
        and action <> 'none'

),

contested as (

    select * from {{ ref('int_contested_decisions') }}

),

standing as (

    -- A decision spoken of by several deliveries acted as the latest of them says.
    select actioned.*

    from actioned
    left join contested
        on
            actioned.channel = contested.channel
            and actioned.decision_id = contested.decision_id
            and actioned.decision_date = contested.decision_date

    where
        contested.decision_id is null
        or (contested.is_fired and contested.delivery_date = actioned.delivery_date)

),

shared as (

    -- Nearly every item is acted on by one strategy a day: only the others are looked at further.
    select
        channel,
        decision_date,
        item_id

    from standing

    group by channel, decision_date, item_id

    having min(strategy_id) < max(strategy_id)

),

acts as (

    select
        standing.channel,
        standing.decision_date,
        standing.item_id,
        standing.strategy_id,
        min(standing.action) as action,
        max(case when standing.action = 'boost' then 1 else 0 end) as boosts,
        max(case when standing.action in ('demote', 'limit', 'filter', 'block') then 1 else 0 end)
            as restricts

    from standing
    inner join shared
        on
            standing.channel = shared.channel
            and standing.decision_date = shared.decision_date
            and standing.item_id = shared.item_id

    group by
        standing.channel, standing.decision_date, standing.item_id, standing.strategy_id

),

met as (

    select
        one.strategy_id as strategy_a,
        other.strategy_id as strategy_b,
        one.channel,
        one.decision_date,
        one.action || '/' || other.action as actions,
        one.boosts * other.restricts + one.restricts * other.boosts as contradicts

    from acts as one
    inner join acts as other
        on
            one.channel = other.channel
            and one.decision_date = other.decision_date
            and one.item_id = other.item_id
            and one.strategy_id < other.strategy_id

),

counted as (

    select
        strategy_a,
        strategy_b,
        channel,
        decision_date,
        actions,
        count(*) as items_both,
        count(*) filter (where contradicts > 0) as contradictory_items

    from met

    group by strategy_a, strategy_b, channel, decision_date, actions

)

select * from counted
