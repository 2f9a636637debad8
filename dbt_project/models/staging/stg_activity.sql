with

source as (

    select * from {{ source('lake', 'activity') }}

),

ranked as (

    -- The latest delivery of a key is what holds.
    select
        channel,
        date,
        impressions,
        orders,
        category,
        market,
        experiment_arm,
        refunds,
        gmv,
        delivery_date,
        row_number() over (
            partition by channel, date, category, market, experiment_arm order by delivery_date desc
        ) as recency

    from source

),

latest as (

    select
        channel,
        date,
        impressions,
        orders,
        category,
        market,
        experiment_arm,
        refunds,
        gmv,
        delivery_date

    from ranked

    where recency = 1

)

select * from latest
