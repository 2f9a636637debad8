with

source as (

    select * from {{ source('lake', 'delivery_findings') }}

),

renamed as (

    select
        feed,
        channel,
        delivery_date,
        rule,
        severity,
        subject,
        rows_concerned,
        observed

    from source

)

select * from renamed
