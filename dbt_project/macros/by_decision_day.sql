{#- Tables by decision day are recomputed for exactly the days that intake named.

The days are rows, not vars: vars that change make dbt parse the whole project anew. A label, an
appeal or an answer touches the day it speaks of, but not what is counted from decisions alone:
that is recomputed for the decided days, those whose decisions came or changed. -#}

{% macro in_decision_days(column) -%}
    {{ column }} in (select days.day from {{ ref('stg_build_days') }} as days)
{%- endmacro %}

{% macro in_decided_days(column) -%}
    {{ column }} in (select days.day from {{ ref('stg_decided_days') }} as days)
{%- endmacro %}

{#- Run before the recomputed days are appended, in the same transaction. -#}
{% macro forget_decision_days(column='decision_date') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_decision_days(column) }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{% macro forget_decided_days(column='decision_date') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_decided_days(column) }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{#- A full refresh counts every row of every delivery; only a smaller build has to look at days. -#}
{% macro where_decided(column='decision_date') -%}
    {%- if is_incremental() -%} where {{ in_decided_days(column) }} {%- endif -%}
{%- endmacro %}

{#- A month is recomputed when one of its days is. -#}
{% macro in_decision_months(column) -%}
    {{ column }} in (
        select cast(date_trunc('month', days.day) as date) from {{ ref('stg_build_days') }} as days
    )
{%- endmacro %}

{% macro forget_decision_months(column='decision_month') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_decision_months(column) }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{#- The third of a month a day lies in, as year, month and 1 to 3 in one number. Counts by third
are a fifth of the cells of counts by day, and a late day recounts ten days, not a month. -#}
{% macro month_third(column) -%}
    cast(
        extract(year from {{ column }}) * 1000 + extract(month from {{ column }}) * 10
        + case
            when extract(day from {{ column }}) > 20 then 3
            when extract(day from {{ column }}) > 10 then 2
            else 1
        end as integer
    )
{%- endmacro %}

{% macro in_decided_thirds(third) -%}
    {{ third }} in (
        select {{ month_third('days.day') }} from {{ ref('stg_decided_days') }} as days
    )
{%- endmacro %}

{% macro forget_decided_thirds(column='month_third') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_decided_thirds(column) }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}
