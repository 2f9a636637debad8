with

source as (

    select * from {{ source('lake', 'contested_decisions') }}

),

renamed as (

    select
        decision_id,
        decided_at,
        item_id,
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
