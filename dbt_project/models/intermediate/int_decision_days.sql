{{ recomputed_by_decided_day() }}

with

tallies as (

    select * from {{ ref('int_decision_tallies') }}

    where {{ in_decided_days('decision_date') }}

),

counted as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        cast(sum(decisions) as bigint) as decisions,
        cast(coalesce(sum(decisions) filter (where is_fired), 0) as bigint) as fired,
        cast(sum(boosted) as bigint) as boosted,
        cast(sum(demoted) as bigint) as demoted,
        cast(sum(limited) as bigint) as limited,
        cast(sum(labelled_as_such) as bigint) as labelled_as_such,
        cast(sum(age_gated) as bigint) as age_gated,
        cast(sum(filtered) as bigint) as filtered,
        cast(sum(blocked) as bigint) as blocked,
        cast(sum(reach) as bigint) as reach,
        cast(coalesce(sum(reach) filter (where is_fired), 0) as bigint) as reach_fired,
        cast(coalesce(
            sum(cast(gmv as decimal(38, 4))) filter (where is_fired), 0
        ) as double) as gmv_fired,
        cast(sum(drawn) as bigint) as sampled

    from tallies

    group by strategy_id, version, channel, environment, decision_date

)

select * from counted
