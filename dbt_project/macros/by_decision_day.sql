{#- Tables by decision day are recomputed for exactly the days that intake named.

The days are rows, not vars: vars that change make dbt parse the whole project anew. A label, an
appeal or an answer touches the day it speaks of, but not what is counted from decisions alone:
that is recomputed for the decided days, those whose decisions came or changed. -#}

{#- What a table that is recomputed by day starts with: DuckDB deletes the days and appends them,
Spark overwrites the partitions that a build brings rows for. -#}
{% macro recomputed_by_day(column='decision_date', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decision_days('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro recomputed_by_decided_day(column='decision_date', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decided_days('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro recomputed_by_month(column='decision_month', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decision_months('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro recomputed_by_decided_third(column='month_third', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decided_thirds('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro _recomputed(column, forget, on_schema_change) -%}
    {{ config(
        materialized='incremental',
        incremental_strategy='insert_overwrite' if target.type == 'spark' else 'append',
        partition_by=column if target.type == 'spark' else none,
        on_schema_change=on_schema_change,
        pre_hook='{{ ' ~ forget ~ ' }}'
    ) }}
{%- endmacro %}

{% macro in_decision_days(column) -%}
    {{ among(column, named_days('decision'), 'days.day', 'stg_build_days') }}
{%- endmacro %}

{% macro in_decided_days(column) -%}
    {{ among(column, named_days('decided'), 'days.day', 'stg_decided_days') }}
{%- endmacro %}

{#- A full refresh counts every row of every delivery; only a smaller build has to look at days. -#}
{% macro where_decided(column='decision_date') -%}
    {%- if is_incremental() -%} where {{ in_decided_days(column) }} {%- endif -%}
{%- endmacro %}

{#- A month is recomputed when one of its days is. -#}
{% macro in_decision_months(column) -%}
    {%- set month = "cast(date_trunc('month', days.day) as date)" -%}
    {{ among(column, months_of(named_days('decision')), month, 'stg_build_days') }}
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
    {%- set named = thirds_of(named_days('decided')) -%}
    {{ among(third, named, month_third('days.day'), 'stg_decided_days') }}
{%- endmacro %}

{#- Run before the recomputed days are appended, in the same transaction. -#}
{% macro forget_decision_days(column='decision_date') -%}
    {{ forget(column, named_days('decision'), in_decision_days(column)) }}
{%- endmacro %}

{% macro forget_decided_days(column='decision_date') -%}
    {{ forget(column, named_days('decided'), in_decided_days(column)) }}
{%- endmacro %}

{% macro forget_decision_months(column='decision_month') -%}
    {{ forget(column, months_of(named_days('decision')), in_decision_months(column)) }}
{%- endmacro %}

{% macro forget_decided_thirds(column='month_third') -%}
    {{ forget(column, thirds_of(named_days('decided')), in_decided_thirds(column)) }}
{%- endmacro %}

{#- The days of `kind` as the engine names them, for one that prunes by constants alone; else
nothing. Never while parsing: a variable that changes costs a new parse. -#}
{% macro named_days(kind) -%}
    {%- if execute and target.type == 'spark' -%}
        {{ env_var('GOVERNANCE_' ~ kind | upper ~ '_DAYS', '') }}
    {%- endif -%}
{%- endmacro %}

{% macro months_of(days) -%}
    {%- set months = [] -%}
    {%- for day in days.split() -%}{%- do months.append(day[:7] ~ '-01') -%}{%- endfor -%}
    {{ months | unique | join(' ') }}
{%- endmacro %}

{% macro thirds_of(days) -%}
    {%- set thirds = [] -%}
    {%- for day in days.split() -%}
        {%- set third = 3 if day[8:] > '20' else 2 if day[8:] > '10' else 1 -%}
        {%- do thirds.append(day[:4] ~ day[5:7] ~ third) -%}
    {%- endfor -%}
    {{ thirds | unique | join(' ') }}
{%- endmacro %}
