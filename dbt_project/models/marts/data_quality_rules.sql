{{ computed_when_read() }}

with

delivery_rules as (

    select * from {{ ref('stg_delivery_rules') }}

)

select * from delivery_rules
