{{ recomputed_by_day('date', on_schema_change='fail') }}

with

feedback as (

    select * from {{ ref('stg_feedback') }}

    where {{ in_decision_days('cast(submitted_at as date)') }}

),

activity as (

    select * from {{ ref('stg_activity') }}

    where {{ in_decision_days('date') }}

),

answers as (

    select
        channel,
        category,
        market,
        cast(submitted_at as date) as date,
        count(*) filter (where kind = 'nps') as nps_answers,
        count(*) filter (where kind = 'nps' and score >= 9) as nps_promoters,
        count(*) filter (where kind = 'nps' and score <= 6) as nps_detractors,
        count(*) filter (where kind = 'csat') as csat_answers,
        count(*) filter (where kind = 'csat' and score >= 4) as csat_top_two,
        count(*) filter (where kind = 'review') as reviews,
        cast(coalesce(
            sum(cast(score as decimal(18, 2))) filter (where kind = 'review'), 0
        ) as double) as rating_sum,
        count(*) filter (where kind = 'review' and score < 1.5) as one_star,
        count(*) filter (where kind = 'complaint') as complaints,
        cast(0 as bigint) as impressions,
        cast(0 as bigint) as orders,
        cast(0 as bigint) as refunds,
        cast(0 as double) as gmv

    from feedback

    group by channel, category, market, cast(submitted_at as date)

),

traffic as (

    select
        channel,
        category,
        market,
        date,
        cast(0 as bigint) as nps_answers,
        cast(0 as bigint) as nps_promoters,
        cast(0 as bigint) as nps_detractors,
        cast(0 as bigint) as csat_answers,
        cast(0 as bigint) as csat_top_two,
        cast(0 as bigint) as reviews,
        cast(0 as double) as rating_sum,
        cast(0 as bigint) as one_star,
        cast(0 as bigint) as complaints,
        impressions,
        orders,
        coalesce(refunds, 0) as refunds,
        coalesce(gmv, 0) as gmv

    from activity

),

combined as (

    select * from answers

    union all

    select * from traffic

),

summed as (

    select
        channel,
        category,
        market,
        date,
        cast(sum(nps_answers) as bigint) as nps_answers,
        cast(sum(nps_promoters) as bigint) as nps_promoters,
        cast(sum(nps_detractors) as bigint) as nps_detractors,
        cast(sum(csat_answers) as bigint) as csat_answers,
        cast(sum(csat_top_two) as bigint) as csat_top_two,
        cast(sum(reviews) as bigint) as reviews,
        cast(sum(cast(rating_sum as decimal(38, 2))) as double) as rating_sum,
        cast(sum(one_star) as bigint) as one_star,
        cast(sum(complaints) as bigint) as complaints,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(orders) as bigint) as orders,
        cast(sum(refunds) as bigint) as refunds,
        cast(sum(cast(gmv as decimal(38, 4))) as double) as gmv

    from combined

    group by channel, category, market, date

)

select * from summed
