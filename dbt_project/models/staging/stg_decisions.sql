with

source as (

    select * from {{ source('lake', 'counted_decisions') }}

),

renamed as (

    select
        delivery_date,
        decision_date,
        strategy_id,
        strategy_version as version,
        channel,
        environment,
        category,
        market,
        is_fired,
        action,
        stratum,
        score_bin,
        fine_bin,
        reach,
        gmv,
        audit_probability,
        is_unit,
        is_sampled

    from source

)

select * from renamed
