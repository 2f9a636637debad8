{{ recomputed_by_day(on_schema_change='fail') }}

with

tallies as (

    select * from {{ ref('int_decision_tallies') }}

    where {{ in_decision_days('decision_date') }}

),

draws as (

    select * from {{ ref('int_audit_draws') }}

    where {{ in_decision_days('decision_date') }}

),

appeals as (

    select * from {{ ref('int_appeals_matched') }}

    where {{ in_decision_days('decision_date') }}

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

),

reviewed as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        count(*) filter (where verdict <> 'unsure') as labelled

    from draws

    group by strategy_id, version, channel, environment, decision_date

),

appealed as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        count(*) as appeals_submitted,
        count(*) filter (where outcome <> 'pending') as appeals_decided,
        count(*) filter (where outcome in ('reversed', 'partially_reversed')) as reversed

    from appeals

    group by strategy_id, version, channel, environment, decision_date

),

merged as (

    select
        counted.*,
        coalesce(reviewed.labelled, 0) as labelled,
        coalesce(appealed.appeals_submitted, 0) as appeals_submitted,
        coalesce(appealed.appeals_decided, 0) as appeals_decided,
        coalesce(appealed.reversed, 0) as reversed

    from counted
    left join reviewed
        on
            counted.strategy_id = reviewed.strategy_id
            and counted.version = reviewed.version
            and counted.channel = reviewed.channel
            and counted.environment = reviewed.environment
            and counted.decision_date = reviewed.decision_date
    left join appealed
        on
            counted.strategy_id = appealed.strategy_id
            and counted.version = appealed.version
            and counted.channel = appealed.channel
            and counted.environment = appealed.environment
            and counted.decision_date = appealed.decision_date

)

select * from merged
