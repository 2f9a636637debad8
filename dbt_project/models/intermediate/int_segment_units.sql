-- depends_on: {{ ref('stg_decided_days') }}
{{ recomputed_by_decided_month() }}
{{ config(post_hook='{{ count_later_blocks(by_month=true) }}') }}

with

decisions as (

    select * from {{ ref('int_decisions') }}

    where is_unit and {{ in_decided_months_by_blocks() }}

),

counted as (

    -- Not by day: by day and stratum there are nearly as many cells as decisions.
    select
        strategy_id,
        channel,
        environment,
        category,
        market,
        cast(date_trunc('month', decision_date) as date) as decision_month,
        stratum,
        count(*) as population

    from decisions

    group by
        strategy_id, channel, environment, category, market,
        cast(date_trunc('month', decision_date) as date), stratum

)

select * from counted
