{{ config(materialized='view') }}

with

tallies as (

    select * from {{ ref('int_decision_tallies') }}

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
        population_reach as reach,
        population_gmv as gmv,
        -- Where upstream draws, only drawn rows say their probability; it holds for their cell.
        case
            when drawable = 0 then 0.0
            when drawable = population then sum_probability
            else sum_probability / drawable * population
        end as expected_draws,
        min_probability,
        drawn

    from tallies

    where population > 0

)

select * from framed
