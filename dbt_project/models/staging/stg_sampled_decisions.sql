with

source as (

    select * from {{ source('lake', 'sampled_decisions') }}

),

renamed as (

    select
        decision_id,
        channel,
        decided_at,
        decision_date,
        delivery_date,
        strategy_id,
        strategy_version as version,
        environment,
        item_id,
        seller_id,
        category,
        market,
        policy,
        action,
        is_fired,
        score_bin,
        fine_bin,
        stratum,
        is_unit,
        inclusion_probability,
        reach,
        gmv,
        plan_hash

    from source

)

select * from renamed
