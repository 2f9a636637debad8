with

source as (

    select * from {{ source('lake', 'feedback') }}

),

ranked as (

    -- The latest delivery of a key is what holds.
    select
        feedback_id,
        channel,
        submitted_at,
        kind,
        score,
        theme,
        category,
        market,
        item_id,
        seller_id,
        decision_id,
        delivery_date,
        row_number() over (
            partition by channel, feedback_id order by delivery_date desc
        ) as recency

    from source

),

latest as (

    select
        feedback_id,
        channel,
        submitted_at,
        kind,
        score,
        theme,
        category,
        market,
        item_id,
        seller_id,
        decision_id,
        delivery_date

    from ranked

    where recency = 1

)

select * from latest
