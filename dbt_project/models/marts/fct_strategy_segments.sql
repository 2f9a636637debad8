{{ recomputed_by_day(on_schema_change='append_new_columns') }}

with

tallies as (

    select * from {{ ref('int_segment_tallies') }}

    where {{ in_decision_days('decision_date') }}

),

summed as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        category,
        market,
        cast(sum(decisions) as bigint) as decisions,
        cast(coalesce(sum(decisions) filter (where is_fired), 0) as bigint) as fired,
        cast(sum(reach) as bigint) as reach

    from tallies

    group by strategy_id, version, channel, environment, decision_date, category, market

)

select * from summed
