{{ computed_when_read() }}

with

files as (

    select * from {{ ref('stg_delivered_files') }}

)

select * from files
