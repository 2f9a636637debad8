{{ config(materialized='view') }}

with

counted as (

    select * from {{ ref('int_decision_days') }}

),

draws as (

    select * from {{ ref('int_audit_draws') }}

),

appeals as (

    select * from {{ ref('int_appeals_matched') }}

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

    -- A view: labels and appeals come for weeks after their decisions, whose counts stay.
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
