{{ computed_when_read() }}

with

deliveries as (

    select * from {{ ref('stg_deliveries') }}

)

select * from deliveries
