with

markets as (

    select * from {{ ref('stg_markets') }}

)

select * from markets
