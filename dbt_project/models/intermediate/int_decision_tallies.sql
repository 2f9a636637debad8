-- depends_on: {{ ref('stg_build_days') }}
{{ recomputed_by_day() }}

with

decisions as (

    select * from {{ ref('int_decisions') }}

),

tallied as (

    -- The one pass over decisions that everything but the segments is made from.
    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        is_fired,
        stratum,
        fine_bin,
        count(*) as decisions,
        count(*) filter (where action = 'boost') as boosted,
        count(*) filter (where action = 'demote') as demoted,
        count(*) filter (where action = 'limit') as limited,
        count(*) filter (where action = 'label') as labelled_as_such,
        count(*) filter (where action = 'age_gate') as age_gated,
        count(*) filter (where action = 'filter') as filtered,
        count(*) filter (where action = 'block') as blocked,
        cast(coalesce(sum(reach), 0) as bigint) as reach,
        cast(coalesce(sum(cast(gmv as decimal(18, 4))), 0) as double) as gmv,
        count(*) filter (where is_unit) as population,
        cast(coalesce(sum(reach) filter (where is_unit), 0) as bigint) as population_reach,
        cast(coalesce(
            sum(cast(gmv as decimal(18, 4))) filter (where is_unit), 0
        ) as double) as population_gmv,
        count(*) filter (where is_drawn) as drawn,
        count(*) filter (where is_unit and audit_probability is not null) as drawable,
        cast(coalesce(
            sum(cast(audit_probability as decimal(38, 12))) filter (where is_unit), 0
        ) as double) as sum_probability,
        min(audit_probability) filter (where is_unit) as min_probability

    from decisions

    group by
        strategy_id, version, channel, environment, decision_date, is_fired, stratum, fine_bin

)

select * from tallied
