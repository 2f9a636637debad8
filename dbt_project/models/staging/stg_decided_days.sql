with

source as (

    select * from {{ source('lake', 'decided_days') }}

)

select day from source
