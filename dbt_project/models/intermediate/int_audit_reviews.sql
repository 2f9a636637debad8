{{ recomputed_by_decided_day() }}

with

units as (

    select * from {{ ref('int_sampled_units') }}

    where {{ in_decided_days('decision_date') }}

),

counted as (

    -- Strategies that ask the same question of an item share one review of it.
    select
        policy,
        channel,
        decision_date,
        count(*) as draws,
        count(distinct item_id) as reviews

    from units

    group by policy, channel, decision_date

)

select * from counted
