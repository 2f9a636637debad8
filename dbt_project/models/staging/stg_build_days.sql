with

source as (

    select * from {{ source('lake', 'build_days') }}

)

select day from source
