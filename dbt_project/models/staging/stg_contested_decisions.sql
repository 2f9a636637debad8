with

source as (

    select * from {{ source('lake', 'contested_decisions') }}

),

renamed as (

    select
        decision_id,
        decided_at,
        channel,
        strategy_id,
        strategy_version as version,
        environment,
        item_id,
        is_fired,
        action,
        item_type,
        seller_id,
        category,
        market,
        score,
        automated_detection,
        automated_decision,
        reach,
        gmv,
        experiment_arm,
        sample_stratum,
        decision_date,
        policy,
        score_bin,
        fine_bin,
        stratum,
        is_unit,
        audit_probability,
        is_sampled,
        delivery_date

    from source

)

select * from renamed
