with

source as (

    select * from {{ source('lake', 'markets') }}

),

renamed as (

    select
        market,
        business_zone,
        currency

    from source

)

select * from renamed
