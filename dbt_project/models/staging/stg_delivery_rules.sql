with

source as (

    select * from {{ source('lake', 'delivery_rules') }}

),

renamed as (

    select
        feed,
        channel,
        delivery_date,
        rule,
        severity,
        failed_rows,
        observed,
        passed

    from source

)

select * from renamed
