with

source as (

    select * from {{ source('lake', 'delivered_files') }}

),

renamed as (

    select
        sha256,
        source,
        feed,
        channel,
        delivery_date,
        bytes,
        rows,
        outcome,
        seen_at,
        run_id

    from source

)

select * from renamed
