{{ config(materialized='view') }}

with

tallies as (

    select * from {{ ref('int_decision_tallies') }}

),

units as (

    -- Nearly always one row, since a strategy does one thing when it fires.
    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        is_fired,
        stratum,
        fine_bin,
        cast(sum(decisions) as bigint) as population,
        cast(sum(reach) as bigint) as reach,
        cast(sum(cast(gmv as decimal(38, 4))) as double) as gmv,
        cast(sum(drawn) as bigint) as drawn,
        cast(sum(drawable) as bigint) as drawable,
        cast(sum(cast(sum_probability as decimal(38, 12))) as double) as sum_probability,
        min(min_probability) as min_probability

    from tallies

    where is_unit

    group by
        strategy_id, version, channel, environment, decision_date, is_fired, stratum, fine_bin

),

framed as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        is_fired,
        stratum,
        fine_bin,
        population,
        reach,
        gmv,
        -- Where upstream draws, only drawn rows say their probability; it holds for their cell.
        case
            when drawable = 0 then 0.0
            when drawable = population then sum_probability
            else sum_probability / drawable * population
        end as expected_draws,
        min_probability,
        drawn

    from units

)

select * from framed
