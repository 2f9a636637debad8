with

source as (

    select * from {{ source('lake', 'appeals') }}

),

ranked as (

    -- The latest delivery of a key is what holds.
    select
        appeal_id,
        decision_id,
        channel,
        submitted_at,
        outcome,
        decision_made_at,
        decided_at,
        ground,
        delivery_date,
        row_number() over (
            partition by channel, appeal_id order by delivery_date desc
        ) as recency

    from source

),

latest as (

    select
        appeal_id,
        decision_id,
        channel,
        submitted_at,
        outcome,
        decision_made_at,
        decided_at,
        ground,
        delivery_date

    from ranked

    where recency = 1

)

select * from latest
