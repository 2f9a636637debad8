with

source as (

    select * from {{ source('lake', 'strategy_channels') }}

),

renamed as (

    select
        strategy_id,
        channel,
        since,
        until

    from source

)

select * from renamed
