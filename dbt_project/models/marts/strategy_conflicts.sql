with

meetings as (

    select * from {{ ref('int_strategy_overlaps') }}

),

tallies as (

    select * from {{ ref('int_decision_tallies') }}

),

newest as (

    select max(decision_date) as window_end from tallies

),

recent as (

    select
        meetings.*,
        newest.window_end

    from meetings
    cross join newest

    where {{ days_between('meetings.decision_date', 'newest.window_end') }} < 28

),

by_actions as (

    select
        strategy_a,
        strategy_b,
        channel,
        window_end,
        actions,
        cast(sum(items_both) as bigint) as items_both,
        cast(sum(contradictory_items) as bigint) as contradictory_items

    from recent

    group by strategy_a, strategy_b, channel, window_end, actions

),

ranked as (

    select
        *,
        row_number() over (
            partition by strategy_a, strategy_b, channel, window_end
            order by contradictory_items desc, items_both desc, actions asc
        ) as place

    from by_actions

),

conflicts as (

    select
        strategy_a,
        strategy_b,
        channel,
        window_end,
        cast(sum(items_both) as bigint) as items_both,
        cast(sum(contradictory_items) as bigint) as contradictory_items,
        cast(sum(contradictory_items) as double) / sum(items_both) as contradictory_share,
        min(case when place = 1 then actions end) as actions

    from ranked

    group by strategy_a, strategy_b, channel, window_end

)

select * from conflicts
