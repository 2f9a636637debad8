with

source as (

    select * from {{ source('lake', 'actioned_decisions') }}

),

renamed as (

    select
        decision_id,
        channel,
        decision_date,
        delivery_date,
        strategy_id,
        strategy_version as version,
        environment,
        item_id,
        action

    from source

)

select * from renamed
