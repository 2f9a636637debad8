{{ computed_when_read() }}

with

delivery_findings as (

    select * from {{ ref('stg_delivery_findings') }}

)

select * from delivery_findings
